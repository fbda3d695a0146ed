# A batch job: four instances, each does its share of the work and ends. An instance that fails is started again, at
# first on the same node (restart), then anywhere (reschedule).
job "batch" {
  type = "batch"

  group "count" {
    count = 4

    restart {
      attempts = 2
      delay    = "5s"
    }

    reschedule {
      attempts  = 1
      interval  = "1h"
      unlimited = false
    }

    task "count" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "for i in 1 2 3 4 5; do echo \"instance $NOMAD_ALLOC_INDEX: step $i\"; sleep 1; done"]
      }

      resources {
        cpu    = 50
        memory = 16
      }

      logs {
        max_files     = 2
        max_file_size = 1
      }
    }
  }
}
