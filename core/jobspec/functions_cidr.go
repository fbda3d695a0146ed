package jobspec

import (
	"fmt"
	"math/big"
	"net"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var cidrHost = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "hostnum", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := parsePrefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		n, _ := args[1].AsBigFloat().Int(nil)
		size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
		if n.Sign() < 0 { // counted from the end
			n.Add(size, n)
		}
		if n.Sign() < 0 || n.Cmp(size) >= 0 {
			return cty.NilVal, function.NewArgErrorf(1, "%s has no host number %s", p, args[1].AsBigFloat().Text('f', 0))
		}
		return cty.StringVal(addTo(p.Addr(), n).String()), nil
	},
})

var cidrNetmask = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := parsePrefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if !p.Addr().Is4() {
			return cty.NilVal, function.NewArgErrorf(0, "only IPv4 has netmasks, got %s", p)
		}
		return cty.StringVal(net.IP(net.CIDRMask(p.Bits(), 32)).String()), nil
	},
})

var cidrSubnet = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "newbits", Type: cty.Number},
		{Name: "netnum", Type: cty.Number}},
	Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := parsePrefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		bits, _ := args[1].AsBigFloat().Int64()
		n, _ := args[2].AsBigFloat().Int(nil)
		sub, err := subnet(p, bits, n)
		return cty.StringVal(sub.String()), err
	},
})

var cidrSubnets = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "prefix", Type: cty.String}},
	VarParam: &function.Parameter{Name: "newbits", Type: cty.Number},
	Type:     function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := parsePrefix(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if len(args) == 1 {
			return cty.ListValEmpty(cty.String), nil
		}
		// next is the first address, counted from the prefix, that is not given out.
		next, out := new(big.Int), []cty.Value{}
		for _, a := range args[1:] {
			bits, _ := a.AsBigFloat().Int64()
			if bits < 1 || int(bits)+p.Bits() > p.Addr().BitLen() {
				return cty.NilVal, fmt.Errorf("%s cannot be extended by %d bits", p, bits)
			}
			shift := uint(p.Addr().BitLen() - p.Bits() - int(bits))
			size := new(big.Int).Lsh(big.NewInt(1), shift)
			number := new(big.Int).Rsh(new(big.Int).Add(next, new(big.Int).Sub(size, big.NewInt(1))), shift)
			sub, err := subnet(p, bits, number)
			if err != nil {
				return cty.NilVal, fmt.Errorf("no room is left in %s for a network of %d more bits", p, bits)
			}
			next = new(big.Int).Lsh(new(big.Int).Add(number, big.NewInt(1)), shift)
			out = append(out, cty.StringVal(sub.String()))
		}
		return cty.ListVal(out), nil
	},
})

func parsePrefix(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(0, "expected a network such as 10.0.0.0/8, got %q", v.AsString())
	}
	return p.Masked(), nil
}

// subnet returns the n-th network in p whose prefix is longer by bits.
func subnet(p netip.Prefix, bits int64, n *big.Int) (netip.Prefix, error) {
	if bits < 0 || int64(p.Bits())+bits > int64(p.Addr().BitLen()) {
		return netip.Prefix{}, fmt.Errorf("%s cannot be extended by %d bits", p, bits)
	}
	if n.Sign() < 0 || n.BitLen() > int(bits) {
		return netip.Prefix{}, fmt.Errorf("%s has no network number %s of %d more bits", p, n, bits)
	}
	length := p.Bits() + int(bits)
	offset := new(big.Int).Lsh(n, uint(p.Addr().BitLen()-length))
	return netip.PrefixFrom(addTo(p.Addr(), offset), length), nil
}

func addTo(a netip.Addr, n *big.Int) netip.Addr {
	sum := new(big.Int).Add(new(big.Int).SetBytes(a.AsSlice()), n)
	buf := make([]byte, a.BitLen()/8)
	out, _ := netip.AddrFromSlice(sum.FillBytes(buf))
	return out
}
