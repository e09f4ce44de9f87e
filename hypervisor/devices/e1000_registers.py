"""Registers of the Intel 82540EM, with the bits that the device looks at.

Source: Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453-006), chapter 13;
the PHY's (Marvell 88E1011) from its section 13.4.8 and IEEE 802.3, clause 22.
"""

CTRL, STATUS, EECD, EERD, CTRL_EXT, MDIC = 0x0000, 0x0008, 0x0010, 0x0014, 0x0018, 0x0020
ICR, ITR, ICS, IMS, IMC = 0x00C0, 0x00C4, 0x00C8, 0x00D0, 0x00D8
RCTL, TCTL, PBA = 0x0100, 0x0400, 0x1000
RDBAL, RDBAH, RDLEN, RDH, RDT = 0x2800, 0x2804, 0x2808, 0x2810, 0x2818
TDBAL, TDBAH, TDLEN, TDH, TDT = 0x3800, 0x3804, 0x3808, 0x3810, 0x3818
RAL0, RAH0 = 0x5400, 0x5404

# Arrays of doublewords: first, last
MULTICAST_TABLE = (0x5200, 0x53FC)
RECEIVE_ADDRESSES = (0x5400, 0x547C)
VLAN_TABLE = (0x5600, 0x57FC)

# What else only keeps what is written: flow control, VLAN type, delays, inter-packet gap, LEDs, thresholds, checksum
# control, wake-up
KEPT = frozenset((0x0028, 0x002C, 0x0030, 0x0038, 0x0170, ITR, 0x0410, 0x0458, 0x0E00, PBA, 0x2160, 0x2168, 0x2820,
                  0x2828, 0x282C, 0x2C00, 0x3820, 0x3828, 0x382C, 0x3830, 0x5000, 0x5800, 0x5808, 0x5810, CTRL_EXT,
                  RCTL, TCTL, RDBAL, RDBAH, TDBAL, TDBAH))

# Statistics count until they are read.
STATISTICS = (0x4000, 0x40FC)
MISSED, RX_GOOD, RX_BROADCAST, RX_MULTICAST, TX_GOOD = 0x4010, 0x4074, 0x4078, 0x407C, 0x4080
RX_GOOD_OCTETS, TX_GOOD_OCTETS, RX_OCTETS, TX_OCTETS = 0x4088, 0x4090, 0x40C0, 0x40C8  # 64 bits each
RX_TOTAL, TX_TOTAL, TX_MULTICAST, TX_BROADCAST = 0x40D0, 0x40D4, 0x40F0, 0x40F4

# CTRL
CTRL_FULL_DUPLEX, CTRL_RESET, CTRL_VLAN, CTRL_PHY_RESET = 1, 1 << 26, 1 << 30, 1 << 31
# STATUS
STATUS_FULL_DUPLEX, STATUS_LINK_UP, STATUS_1000 = 1, 2, 0x280
# EECD: the Microwire lines, and who may use them
EECD_CLOCK, EECD_SELECT, EECD_IN, EECD_OUT, EECD_REQUEST, EECD_GRANT, EECD_PRESENT = 1, 2, 4, 8, 0x40, 0x80, 0x100
# EERD
EERD_START, EERD_DONE = 1, 1 << 4
# MDIC
MDIC_WRITE, MDIC_READ, MDIC_READY, MDIC_INTERRUPT, MDIC_ERROR = 1 << 26, 2 << 26, 1 << 28, 1 << 29, 1 << 30
PHY = 1  # its address
# Interrupt causes
TX_WRITTEN_BACK, TX_EMPTY, LINK_CHANGE, RX_FEW, RX_OVERRUN, RX_TIMER, MDIO_DONE = 1, 2, 4, 0x10, 0x40, 0x80, 0x200
CAUSES = 0x1FFFF
# RCTL
RCTL_ENABLE, RCTL_UNICAST_ALL, RCTL_MULTICAST_ALL, RCTL_LONG = 2, 8, 0x10, 0x20
RCTL_BROADCAST, RCTL_VLAN_FILTER, RCTL_STRIP_CRC = 1 << 15, 1 << 18, 1 << 26
RCTL_SIZE_SHIFT, RCTL_SIZE_EXTENDED, RCTL_THRESHOLD_SHIFT, RCTL_OFFSET_SHIFT = 16, 1 << 25, 8, 12
# TCTL
TCTL_ENABLE = 2
# RAH
RAH_VALID = 1 << 31

# Descriptors are 16 bytes (chapter 3). Transmit: command byte, DEXT types and the fields of status and command.
DESCRIPTOR = 16
TX_END, TX_CHECKSUM, TX_REPORT, TX_EXTENDED, TX_VLAN = 1, 4, 8, 0x20, 0x40
TX_SEGMENT = 4  # in data descriptors, where legacy ones have TX_CHECKSUM
TX_CONTEXT = 0
TX_INSERT_IP, TX_INSERT_TCP = 1, 2  # POPTS
DONE, RX_END, RX_NO_CHECKSUM, RX_VLAN = 1, 2, 4, 8

# PHY registers and what they hold after a reset, with a link partner that can do 1000 Mb/s full duplex
PHY_CONTROL, PHY_STATUS, PHY_SPECIFIC_STATUS = 0, 1, 17
PHY_CONTROL_RESET, PHY_CONTROL_RESTART = 1 << 15, 1 << 9
PHY_RESET = {0: 0x1140, 1: 0x7949, 2: 0x0141, 3: 0x0C20, 4: 0x0DE1, 5: 0x41E1, 6: 0x000D, 7: 0x2001, 9: 0x0E00,
             10: 0x3C00, 15: 0x3000, 16: 0x0360, 17: 0xA000, 20: 0x0D60}
PHY_READ_ONLY = frozenset((1, 2, 3, 5, 6, 10, 15, 17))
PHY_STATUS_LINK = 0x24  # auto-negotiation complete, link up
PHY_SPECIFIC_LINK = 0x0C00  # speed and duplex resolved, link up
