job "a" {
  type = "system"
  affinity {
    attribute = "${attr.x}"
    value     = "y"
  }
  spread { attribute = "${attr.x}" }
  reschedule { attempts = 1 }
  migrate {}
  group "g" {
    count = 2
    scaling { max = 3 }
    max_run_duration = "1m"
    task "t" { driver = "exec" }
  }
}
