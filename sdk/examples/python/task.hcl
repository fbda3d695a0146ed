# drover plugin run ./drover-driver-python task.hcl
task "greet" {
  driver = "python"

  config {
    command = "sh"
    args    = ["-c", "echo hello from $NOMAD_TASK_NAME; sleep 1"]
  }
}
