"""Real servers for tests: started on free ports, ended with the test, never left behind."""
