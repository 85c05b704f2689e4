"""Pure decisions: standard library and numpy only; no clock, no ORM, no socket."""
