"""FLOP of Table 1's nets, added up by hand: independent of the modules that PyTorch builds."""

# Table 1 by hand: kernel, channels in and out of each conv layer, by the side of its maps at 224.
A = {224: [(3, 3, 64)], 112: [(3, 64, 128)], 56: [(3, 128, 256), (3, 256, 256)],
     28: [(3, 256, 512), (3, 512, 512)], 14: [(3, 512, 512)] * 2}  # fmt: skip
B = A | {224: [(3, 3, 64), (3, 64, 64)], 112: [(3, 64, 128), (3, 128, 128)]}
C = {side: list(convs) for side, convs in B.items()}
D = {side: list(convs) for side, convs in B.items()}
E = {side: list(convs) for side, convs in B.items()}
for side, channels in ((56, 256), (28, 512), (14, 512)):
    C[side].append((1, channels, channels))
    D[side].append((3, channels, channels))
    E[side] += [(3, channels, channels)] * 2
TABLE_1 = {"A": A, "B": B, "C": C, "D": D, "E": E}
FC = 2 * (7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000)
FIRST = 2 * 3 * 3 * 3 * 64 * 224**2  # the first conv layer of A–E


def by_hand(net):
    """FLOP of a forward pass at 224×224: 2·k²·Cin·Cout for each place of each layer's map."""
    convs = ((s, *conv) for s, convs in TABLE_1[net].items() for conv in convs)
    return FC + sum(2 * k * k * into * out * s * s for s, k, into, out in convs)
