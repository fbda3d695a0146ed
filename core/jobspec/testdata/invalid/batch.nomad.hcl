job "a" {
  type = "batch"
  update { canary = 1 }
  periodic {
    cron  = "x"
    crons = ["* * * * *"]
  }
  group "g" {
    task "t" { driver = "exec" }
  }
}
