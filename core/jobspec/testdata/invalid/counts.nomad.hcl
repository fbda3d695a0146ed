job "a" {
  group "g" {
    count = 10000000
    task "t" { driver = "exec" }
  }
  group "h" {
    count = -1
    task "t" { driver = "exec" }
  }
  group "s" {
    count = 5
    scaling {
      min = 6
      max = 8
    }
    task "t" { driver = "exec" }
  }
}
