job "a" {
  update {
    max_parallel      = -1
    health_check      = "vibes"
    min_healthy_time  = "10m"
    healthy_deadline  = "5m"
    progress_deadline = "4m"
    stagger           = "0s"
    canary            = -1
    max_surge         = -1
    on_deadline       = "shrug"
  }
  group "g" {
    restart {
      attempts = 0
      mode     = "delay"
      interval = "1s"
    }
    reschedule {
      attempts  = 3
      delay     = "1s"
      max_delay = "2s"
    }
    migrate {
      max_parallel     = -1
      health_check     = "checks?"
      healthy_deadline = "5s"
    }
    disconnect {
      lost_after           = "1m"
      stop_on_client_after = "1m"
      reconcile            = "coin"
    }
    shutdown_delay = "-1s"
    task "t" {
      driver = "exec"
      restart {
        attempts = 10
        delay    = "1m"
        interval = "5m"
      }
    }
  }
  group "h" {
    update {
      auto_promote      = true
      max_parallel      = 1
      health_check      = "manual"
      min_healthy_time  = "1s"
      progress_deadline = "20m"
      stagger           = "1s"
      canary            = 0
    }
    reschedule {
      attempts       = 5
      unlimited      = false
      interval       = "1m"
      delay          = "10s"
      delay_function = "exponential"
    }
    task "t" {
      driver       = "exec"
      kill_timeout = "1h"
    }
  }
}
