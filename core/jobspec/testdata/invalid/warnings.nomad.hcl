# Nothing here is wrong, all of it is doubtful.
job "a" {
  update { max_parallel = 3 }
  group "g" {
    count                      = 2
    max_client_disconnect      = "1m"
    prevent_reschedule_on_lost = true
    ephemeral_disk { size = 250 }
    network {
      mbits = 10
      port "http" {}
    }
    service {
      port = "http"
    }
    task "a" {
      driver      = "exec"
      kill_signal = "SIGUSR1"
      resources { iops = 1 }
    }
    task "b" { driver = "exec" }
    task "c" {
      driver = "exec"
      identity {
        name = "x"
      }
    }
  }
}
