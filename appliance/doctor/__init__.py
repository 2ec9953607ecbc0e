"""`ctl doctor`: inspects everything that the appliance depends on and says what to do next."""
