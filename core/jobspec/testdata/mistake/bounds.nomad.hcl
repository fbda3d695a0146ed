job "a" {
  affinity {
    attribute = "${attr.x}"
    value     = "y"
    weight    = 101
  }
  spread {
    attribute = "${attr.x}"
    weight    = 0
    target "x" { percent = 200 }
  }
}
