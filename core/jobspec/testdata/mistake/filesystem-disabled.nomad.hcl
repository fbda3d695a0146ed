job "a" {
  meta = { a = file("/etc/hostname") }
}
