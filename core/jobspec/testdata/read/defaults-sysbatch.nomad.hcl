# The smallest job: everything else is a default.
job "web" {
  type = "sysbatch"
  group "app" {
    task "server" {
      driver = "raw_exec"
    }
  }
}
