"""One file per outside system. Each translates its errors once and holds no rule."""
