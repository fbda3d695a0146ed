job "a" {
  type = "batch"
  periodic {
    crons     = ["*/15 * * * *", "61 * * * *", "@daily"]
    time_zone = "Nowhere/City"
  }
  parameterized {
    payload       = "maybe"
    meta_required = ["a"]
    meta_optional = ["a", ""]
  }
  group "g" {
    task "t" {
      driver = "exec"
      dispatch_payload { file = "../../x" }
    }
  }
}
