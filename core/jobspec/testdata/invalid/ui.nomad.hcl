job "a" {
  ui { description = join("", [for i in range(1001) : "x"]) }
  group "g" {
    task "t" { driver = "exec" }
  }
}
