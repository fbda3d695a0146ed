# A batch job: it runs to the end and its exit code decides how it is reported.
job "count" {
  type = "batch"

  group "work" {
    task "count" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "for i in 1 2 3 4 5; do echo \"line $i of $NOMAD_JOB_NAME\"; done"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
