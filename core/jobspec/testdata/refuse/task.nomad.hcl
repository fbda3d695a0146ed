# Every block of a task.
job "task" {
  type = "batch"
  parameterized {
    payload       = "required"
    meta_required = ["a"]
    meta_optional = ["b"]
  }
  group "g" {
    volume "data" {
      type      = "host"
      source    = "data"
      read_only = true
      mount_options {
        fs_type     = "ext4"
        mount_flags = ["noatime"]
      }
    }
    consul { namespace = "n" }
    task "t" {
      driver         = "exec"
      user           = "nobody"
      leader         = true
      kill_timeout   = "20s"
      kill_signal    = "SIGUSR1"
      shutdown_delay = 1000000000
      env            = { A = 1, B = true, C = null }
      meta {
        m = "x"
      }
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      resources {
        cores      = 2
        memory     = 64
        memory_max = -1
        secrets    = 5
        device "nvidia/gpu" {
          count = 2
          constraint {
            attribute = "${device.attr.memory}"
            operator  = ">="
            value     = "2 GiB"
          }
          affinity {
            attribute = "${device.model}"
            value     = "x"
            weight    = 75
          }
        }
        numa {
          affinity = "prefer"
          devices  = ["nvidia/gpu"]
        }
        network {
          mbits = 10
          port "old" {}
        }
      }
      logs {
        max_files     = 3
        max_file_size = 2
        enabled       = false
      }
      artifact {
        source      = "https://example.com/a.tar.gz?archive=false"
        mode        = "file"
        options     = { checksum = "md5:d41d8cd98f00b204e9800998ecf8427e" }
        headers { X-A = "b" }
      }
      template {
        data            = "{{ env \"A\" }}"
        destination     = "local/a"
        change_mode     = "script"
        perms           = 600
        uid             = 0
        change_script {
          command       = "/bin/true"
          fail_on_error = false
        }
        wait {
          min = "1s"
          max = "2s"
        }
      }
      template {
        source        = "local/x.tpl"
        destination   = "local/b"
        change_mode   = "signal"
        change_signal = "sighup"
      }
      identity {
        env = true
      }
      identity {
        name = "aws"
        aud  = ["sts"]
        ttl  = "1h"
      }
      volume_mount {
        volume      = "data"
        destination = "/data"
      }
      csi_plugin {
        id   = "x"
        type = "node"
      }
      dispatch_payload { file = "in.txt" }
      scaling "cpu" {
        max = 100
        policy {
          check "a" {
            x = 1
          }
        }
      }
      action "hi" {
        command = "echo"
        args    = ["hi"]
      }
      schedule {
        cron {
          start    = "0 0 8 * * *"
          end      = "0 18"
          timezone = "UTC"
        }
      }
      consul {}
      vault { change_mode = "signal" }
    }
  }
}
