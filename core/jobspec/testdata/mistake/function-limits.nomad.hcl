job "a" {
  meta {
    a = format("%99999d", 1)
    b = bcrypt("x", 20)
    c = cidrhost("10.0.0.0/30", 9)
    d = cidrsubnet("x", 1, 1)
    e = base64decode("?")
  }
}
