"""`autoinstr merge`: run directories of many ranks and hosts become one."""
