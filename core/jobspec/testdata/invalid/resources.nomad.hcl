job "a" {
  group "g" {
    ephemeral_disk { size = 5 }
    task "low" {
      driver = "exec"
      resources {
        cpu        = -1
        memory     = 9
        memory_max = 5
        secrets    = 20
        disk       = 10
      }
      logs {
        max_files     = 0
        max_file_size = -1
      }
    }
    task "both" {
      driver = "exec"
      resources {
        cpu   = 100
        cores = 1
        device "a//b" { count = 0 }
        device "gpu" {
          constraint {
            distinct_hosts = true
          }
        }
        numa {
          affinity = "sometimes"
          devices  = ["tpu"]
        }
      }
    }
    task "ten-terabytes-are-legal" {
      driver = "exec"
      resources { memory = 10485760 }
    }
    task "env" {
      driver = "exec"
      env    = { "A=B" = 1 }
    }
    task "no-driver" {}
  }
}
