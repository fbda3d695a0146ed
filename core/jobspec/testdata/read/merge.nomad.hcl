# Policies of the job reach the groups field by field, the group's restart reaches the tasks.
job "merge" {
  update {
    max_parallel = 3
    canary       = 1
  }
  reschedule {
    delay     = "1m"
    unlimited = true
  }
  migrate {
    max_parallel = 2
  }
  group "inherits" {
    restart {
      attempts = 7
      delay    = "20s"
    }
    task "own" {
      driver = "exec"
      restart {
        attempts = 1
      }
    }
    task "none" { driver = "exec" }
  }
  group "overrides" {
    update {
      canary       = 0
      auto_revert  = true
      health_check = "task_states"
    }
    reschedule {
      delay_function = "fibonacci"
    }
    migrate {
      health_check = "task_states"
    }
    task "t" { driver = "exec" }
  }
}
