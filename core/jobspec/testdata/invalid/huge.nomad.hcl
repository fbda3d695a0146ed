job "a" {
  group "g" {
    ephemeral_disk { size = 9223372036854775807 }
    task "t" {
      driver = "exec"
      resources {
        cpu        = 9223372036854775807
        memory     = 9223372036854775807
        memory_max = 9223372036854775807
      }
      logs {
        max_files     = 3000000000
        max_file_size = 3000000000
      }
    }
  }
}
