# vault and secret blocks go down to the tasks; a task of the job becomes a group.
job "push" {
  vault { role = "job" }
  secret "s" {
    provider = "nomad"
    path     = "a"
  }
  group "g" {
    vault { role = "group" }
    task "inherits" { driver = "exec" }
    task "own" {
      driver = "exec"
      vault { role = "task" }
      secret "t" {
        provider = "nomad"
        path     = "b"
      }
    }
  }
  group "h" {
    task "from-job" { driver = "exec" }
  }
  task "alone" {
    driver = "exec"
  }
}
