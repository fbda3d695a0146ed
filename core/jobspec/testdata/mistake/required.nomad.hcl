job "a" {
  group "g" {
    scaling { min = 1 }
    task "t" {
      driver = "exec"
      lifecycle {}
      template {
        change_script {}
        wait { min = "1s" }
      }
      scaling "disk" { max = 1 }
      scaling "cpu" { max = 1 }
      scaling "cpu" { max = 1 }
      identity {}
      identity { name = "default" }
      constraint {
        version = "1"
        regexp  = "x"
      }
    }
  }
}
