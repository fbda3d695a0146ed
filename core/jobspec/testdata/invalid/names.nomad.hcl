job "a" {
  group "" {
    task "" { driver = "exec" }
    task "alloc" { driver = "exec" }
    task "a/b" { driver = "exec" }
    task ".." { driver = "exec" }
    task ".hidden" { driver = "exec" }
    task "red\u001b[31m" { driver = "exec" }
    task "twice" { driver = "exec" }
    task "twice" {}
  }
  group "g" {}
  group "g" {
    task "only" {
      driver = "exec"
      lifecycle { hook = "before" }
    }
  }
  group "leaders" {
    task "a" {
      driver = "exec"
      leader = true
    }
    task "b" {
      driver = "exec"
      leader = true
    }
  }
}
