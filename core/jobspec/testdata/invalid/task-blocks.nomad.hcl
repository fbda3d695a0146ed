job "a" {
  group "g" {
    volume "v" {
      type        = "host"
      access_mode = "single-node-reader-only"
    }
    volume "c" {
      type        = "csi"
      source      = "x"
      per_alloc   = true
      sticky      = true
      access_mode = "any"
    }
    volume "n" { type = "nfs" }
    consul { partition = "a" }
    task "t" {
      driver = "exec"
      consul { partition = "b" }
      template {}
      template {
        data        = "x"
        destination = "local/x"
        change_mode = "signal"
        env         = true
        perms       = "999"
        splay       = "-1s"
      }
      template {
        data        = "x"
        destination = "local/x"
        change_mode = "script"
        vault_grace = "1s"
        wait {
          min = "2s"
          max = "1s"
        }
      }
      template {
        source      = "x"
        destination = "../../escape"
      }
      template {
        source      = "x"
        destination = "../shared/is/fine"
        change_mode = "sometimes"
      }
      artifact {
        destination = "../../x"
        mode        = "tree"
        options     = { checksum = "md5:abc" }
      }
      artifact {
        source  = "https://example.com/x"
        options = { checksum = "${meta.sum}" }
      }
      vault {
        namespace   = "x"
        change_mode = "x"
      }
      identity {
        ttl      = "1h"
        filepath = "x"
      }
      identity {
        name          = "a b"
        aud           = ["", "x"]
        change_mode   = "noop"
        change_signal = "SIGHUP"
      }
      secret "a-b" {}
      secret "v" {
        provider = "vault"
        path     = "x"
        env      = { A = "b" }
      }
      secret "p" {
        provider = "custom"
        path     = "x"
        config { a = 1 }
      }
      volume_mount {
        volume           = "unknown"
        propagation_mode = "wide"
        selinux_label    = "q"
      }
      csi_plugin {
        type                   = "x"
        mount_dir              = "/csi"
        stage_publish_base_dir = "/csi/stage"
      }
      action "a b" {}
      action "twice" { command = "x" }
      action "twice" { command = "x" }
    }
  }
}
