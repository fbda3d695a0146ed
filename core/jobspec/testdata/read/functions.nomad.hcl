# One call of each function whose answer is always the same.
job "functions" {
  group "g" {
    task "t" {
      driver = "exec"
      config {
        numeric = [abs(-1), ceil(1.2), floor(1.8), log(100, 10), max(1, 3), min(1, 3), parseint("ff", 16), pow(2, 5), signum(-3)]
        strings = [chomp("a\n"), format("%s-%03d", "x", 7), indent(2, "a\nb"), join(",", ["a", "b"]), lower("A"),
          regex_replace("a1b2", "[0-9]", "#"), replace("aba", "a", "c"), reverse("abc"), strrev("abc"), strlen("häh"),
        substr("hello", 1, 3), title("to be"), trim("xax", "x"), trimprefix("ab", "a"), trimspace(" a "), trimsuffix("ab", "b"), upper("a")]
        lists = [chunklist([1, 2, 3], 2), coalesce(null, "b"), coalescelist([], ["c"]), compact(["a", ""]), concat([1], [2]),
          contains(["a"], "a"), distinct([1, 1]), element(["a", "b"], 3), flatten([[1], [2, [3]]]), index(["a", "b"], 1),
          keys({ a = 1 }), length([1, 2]), lookup({ a = 1 }, "b", 2), merge({ a = 1 }, { b = 2 }), range(3),
          setintersection(["a", "b"], ["b"]), setproduct(["a"], ["b", "c"]), setunion(["a"], ["b"]), slice(["a", "b", "c"], 1, 2),
        sort(["b", "a"]), values({ a = 1 }), zipmap(["a"], [1]), split(",", "a,b"), formatlist("%s!", ["a", "b"])]
        encoding = [base64decode("aGk="), base64encode("hi"), csvdecode("a,b\n1,2"), jsondecode("{\"a\":1.5}"), jsonencode({ a = 1 }),
        urlencode("a b&c"), yamldecode("a: [1, x]"), yamlencode({ a = 1 })]
        hashes = [md5("a"), sha1("a"), sha256("a"), sha512("a"), uuidv5("dns", "example.com"), strlen(bcrypt("x", 4)), strlen(uuidv4())]
        cidr   = [cidrhost("10.0.0.0/8", 5), cidrhost("10.0.0.0/8", -2), cidrhost("fd00::/8", 255), cidrnetmask("10.0.0.0/12"),
        cidrsubnet("10.0.0.0/8", 8, 3), cidrsubnets("10.0.0.0/8", 4, 8, 4)]
        dates = [formatdate("YYYY-MM-DD", "2024-02-03T04:05:06Z"), timeadd("2024-02-03T04:05:06Z", "1h")]
        eval  = [can(1 + "x"), try(1 + "x", "fallback"), convert("5", number)]
      }
    }
  }
}
