job "a" {
  group "g" {
    shutdown_delay = "1s"
    service {
      name = "mesh"
      port = "9000"
      connect {
        native = true
        sidecar_service {}
      }
    }
    service {
      name     = "other"
      provider = "nomad"
    }
    task "t" { driver = "exec" }
  }
}
