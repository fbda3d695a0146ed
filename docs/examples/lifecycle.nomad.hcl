# Tasks around a main task: one that must end before it starts, one that runs beside it, one that tells when it has
# started, and one that cleans up after it. They share the directory $NOMAD_ALLOC_DIR.
job "lifecycle" {
  group "app" {
    ephemeral_disk {
      size = 600
    }

    task "prepare" {
      driver = "raw_exec"
      lifecycle {
        hook = "prestart"
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "echo prepared > $NOMAD_ALLOC_DIR/data/state"]
      }
    }

    task "ship-logs" {
      driver = "raw_exec"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do wc -l $NOMAD_ALLOC_DIR/data/state; sleep 5; done"]
      }
    }

    task "main" {
      driver       = "raw_exec"
      leader       = true
      kill_timeout = "10s"
      config {
        command = "/bin/sh"
        args    = ["-c", "trap 'echo bye; exit 0' INT TERM; while true; do date >> $NOMAD_ALLOC_DIR/data/state; sleep 1; done"]
      }
    }

    task "announce" {
      driver = "raw_exec"
      lifecycle {
        hook = "poststart"
      }
      config {
        command = "/bin/echo"
        args    = ["main has started"]
      }
    }

    task "clean-up" {
      driver = "raw_exec"
      lifecycle {
        hook = "poststop"
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "rm -f $NOMAD_ALLOC_DIR/data/state; echo cleaned"]
      }
    }
  }
}
