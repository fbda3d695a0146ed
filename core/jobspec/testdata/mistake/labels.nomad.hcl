job {
  group {
    task "a" "b" {
      driver = "exec"
    }
  }
}
