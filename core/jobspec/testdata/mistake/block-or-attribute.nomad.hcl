job "web" {
  type { a = 1 }
  group = "app"
  group "app" {
    resources = { cpu = 100 }
    task "server" {
      driver    = "exec"
      resources = { cpu = 100 }
      meta      = { a = 1 }
      meta {
        b = 2
      }
      env {
        A = 1
      }
      env {
        B = 1
      }
      restart {}
      restart {}
    }
  }
}
