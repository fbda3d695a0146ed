job "a" {
  group "g" {
    shutdown_delay = "1s"
    network {
      port "http" {}
    }
    service {
      name     = "not valid!"
      port     = "htpp"
      provider = "nomad"
    }
    service {
      name     = "numeric"
      port     = "8080"
      provider = "nomad"
      on_update = "ignore_warnings"
    }
    service {
      name         = "driver"
      port         = "8080"
      provider     = "nomad"
      address_mode = "driver"
      address      = "10.0.0.1"
      task         = "nobody"
    }
    service {
      name     = "x"
      port     = "http"
      provider = "nomad"
      kind     = "gateway"
      check {
        type     = "http"
        interval = "100ms"
        timeout  = "0s"
        method   = "FETCH"
        protocol = "gopher"
        port     = "none"
      }
      check {
        type     = "script"
        interval = "1s"
        timeout  = "1s"
        on_update = "ignore"
        success_before_passing = 1
        tls_server_name = "x"
        check_restart {
          limit           = -1
          ignore_warnings = true
        }
      }
      check {
        name     = "twice"
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
      }
      check {
        name     = "twice"
        type     = "http"
        path     = "http://elsewhere/x"
        interval = "1s"
        timeout  = "1s"
      }
    }
    task "t" {
      driver = "exec"
      service {
        name     = "x"
        provider = "nomad"
        task     = "other"
        address_mode = "alloc_ipv6"
        check {
          type     = "tcp"
          interval = "1s"
          timeout  = "1s"
        }
      }
      service {
        name     = "x"
        provider = "nomad"
      }
    }
  }
}
