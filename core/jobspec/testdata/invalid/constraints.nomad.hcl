job "a" {
  constraint { value = "x" }
  constraint { attribute = "${attr.x}" }
  constraint {
    attribute = "${atr.kernel.name}"
    value     = "linux"
  }
  constraint {
    attribute = "${node.unknown}"
    value     = "x"
  }
  constraint {
    attribute = "$${attr.x"
    value     = "x"
  }
  constraint {
    attribute = "${attr.x}"
    operator  = "~"
    value     = "x"
  }
  constraint {
    attribute = "${attr.x}"
    regexp    = "("
  }
  constraint {
    attribute = "${attr.x}"
    version   = ">= one"
  }
  constraint {
    attribute = "${attr.x}"
    semver    = "~> 1.2"
  }
  constraint {
    attribute = "${attr.x}"
    operator  = "is_set"
    value     = "x"
  }
  constraint {
    operator = "distinct_hosts"
    value    = "perhaps"
  }
  constraint {
    distinct_property = "${attr.x}"
    value             = "0"
  }
  affinity {
    attribute = "${attr.x}"
    operator  = "is_set"
  }
  affinity {
    attribute = "${attr.x}"
    value     = "y"
    weight    = 0
  }
  spread {
    attribute = "${attr.x}"
    target "a" { percent = 60 }
    target "a" { percent = 60 }
  }
  spread { attribute = "${secret.x}" }
  group "g" {
    task "t" {
      driver = "exec"
      constraint { distinct_hosts = true }
    }
  }
}
