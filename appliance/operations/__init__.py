"""Use cases: one async function each, the only place where rules meet I/O."""
