job "a" {
  priority = -1
  group "g" {
    task "t" { driver = "exec" }
  }
}
