job "shorthands" {
  constraint { distinct_hosts = true }
  constraint {
    distinct_hosts = false
  }
  constraint {
    distinct_property = "${meta.rack}"
    value             = "2"
  }
  constraint {
    attribute = "${attr.os.version}"
    version   = ">= 12, < 13"
  }
  constraint {
    attribute = "${attr.os.version}"
    semver    = ">= 12.0.0"
  }
  constraint {
    attribute = "${attr.cpu.arch}"
    regexp    = "amd64|arm64"
  }
  constraint {
    attribute    = "${meta.tags}"
    set_contains = "a,b"
  }
  constraint {
    attribute = "${meta.tags}"
    operator  = "is_set"
  }
  affinity {
    attribute        = "${meta.tags}"
    set_contains_any = "a,b"
    weight           = -20
  }
  affinity {
    attribute = "${node.datacenter}"
    value     = "dc1"
  }
  spread {
    attribute = "${node.datacenter}"
    weight    = 100
    target "dc1" { percent = 70 }
    target "dc2" { percent = 30 }
  }
  group "g" {
    spread { attribute = "${meta.rack}" }
    task "t" { driver = "exec" }
  }
}
