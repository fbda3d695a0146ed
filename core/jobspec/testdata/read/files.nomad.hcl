#! fs: true
job "files" {
  group "g" {
    task "t" {
      driver = "exec"
      config {
        file   = file("files/a.txt")
        base64 = filebase64("files/a.txt")
        exists = [fileexists("files/a.txt"), fileexists("files/none")]
        set    = fileset("files", "**/*.txt")
        flat   = fileset("files", "*.{txt,md}")
        names  = [basename("a/b.c"), dirname("a/b.c"), pathexpand("x")]
      }
    }
  }
}
