# Blocks and top-level objects of config become lists of objects; deeper objects stay.
job "config" {
  group "g" {
    task "t" {
      driver = "docker"
      config {
        image  = "x"
        int    = 5
        big    = 9007199254740993
        float  = 1.5
        bool   = true
        null   = null
        list   = ["a", 1]
        object = { inner = { a = 1 } }
        labels {
          a = "1"
        }
        mount {
          type = "bind"
          opts = { x = { y = 1 } }
          bind_options {
            propagation = "private"
          }
        }
        mount {
          type = "volume"
        }
        logging "named" {
          a = 1
        }
        dynamic "device" {
          for_each = { a = "/dev/a", b = "/dev/b" }
          content {
            name = device.key
            path = device.value
          }
        }
      }
    }
    task "attribute" {
      driver = "docker"
      config = { image = "y", labels = { b = "2" } }
    }
  }
}
