# The smallest job: everything else is a default.
job "web" {
  group "app" {
    task "server" {
      driver = "raw_exec"
    }
  }
}
