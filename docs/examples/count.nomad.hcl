# A batch job: it runs to the end and its exit code decides how it is reported.
variable "driver" {
  type        = string
  default     = "raw_exec"
  description = "exec isolates the task (the agent must run as root), raw_exec runs it as it is"
}

job "count" {
  type = "batch"

  group "work" {
    task "count" {
      driver = var.driver

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
