jobs "a" {}
name = "x"
job "a" {}
