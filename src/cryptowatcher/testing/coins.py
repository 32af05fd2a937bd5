"""The coins of the simulated market: sixty well-known ones with plausible levels, the rest made up from a seed."""

from __future__ import annotations

from random import Random

import msgspec


class Coin(msgspec.Struct, frozen=True):
    """price in USD, supply in coins, volume in USD a day, volatility of a day's logarithmic return."""

    id: str
    symbol: str
    name: str
    price: float
    supply: float
    volume: float
    volatility: float
    beta: float
    max_supply: float | None = None


# id, symbol, name, price in USD, market cap in 10^9 USD, daily volume in 10^6 USD, daily volatility in percent
_KNOWN = """\
bitcoin,btc,Bitcoin,67000,1320,28000,2.4
ethereum,eth,Ethereum,3400,409,15000,3.1
tether,usdt,Tether,1,112,45000,0.05
binancecoin,bnb,BNB,590,87,1700,2.8
solana,sol,Solana,150,69,2500,4.4
usd-coin,usdc,USDC,1,33,6000,0.04
ripple,xrp,XRP,0.52,29,1200,3.6
staked-ether,steth,Lido Staked Ether,3398,32,90,3.1
dogecoin,doge,Dogecoin,0.125,18,900,4.6
the-open-network,ton,Toncoin,7.1,17.5,280,4.2
cardano,ada,Cardano,0.39,14,300,3.7
tron,trx,TRON,0.125,10.9,320,2.2
avalanche-2,avax,Avalanche,27,10.7,280,4.5
shiba-inu,shib,Shiba Inu,0.0000173,10.2,250,4.9
wrapped-bitcoin,wbtc,Wrapped Bitcoin,66960,10,240,2.4
polkadot,dot,Polkadot,6.1,8.6,160,3.9
chainlink,link,Chainlink,14,8.5,280,4.1
bitcoin-cash,bch,Bitcoin Cash,385,7.6,230,3.8
near,near,NEAR Protocol,5.2,5.7,240,4.9
uniswap,uni,Uniswap,9.3,5.6,170,4.7
litecoin,ltc,Litecoin,74,5.5,320,3.2
leo-token,leo,LEO Token,5.8,5.4,2,1.4
dai,dai,Dai,1,5.3,210,0.06
polygon-ecosystem-token,pol,POL (ex-MATIC),0.56,5.2,230,4.2
pepe,pepe,Pepe,0.0000117,4.9,800,6.8
internet-computer,icp,Internet Computer,8.1,3.8,80,4.5
kaspa,kas,Kaspa,0.158,3.8,70,5.2
ethereum-classic,etc,Ethereum Classic,22.9,3.4,150,3.7
fetch-ai,fet,Artificial Superintelligence Alliance,1.31,3.3,210,6.1
monero,xmr,Monero,165,3.0,60,2.9
aptos,apt,Aptos,6.6,2.9,120,4.8
stellar,xlm,Stellar,0.091,2.7,60,3.4
hedera-hashgraph,hbar,Hedera,0.075,2.7,45,4.0
cosmos,atom,Cosmos Hub,6.6,2.6,110,4.1
okb,okb,OKB,42,2.5,6,2.3
mantle,mnt,Mantle,0.76,2.5,110,3.9
filecoin,fil,Filecoin,4.3,2.4,130,4.4
render-token,render,Render,6.5,2.5,150,5.6
arbitrum,arb,Arbitrum,0.78,2.5,230,5.0
crypto-com-chain,cro,Cronos,0.091,2.4,9,2.8
blockstack,stx,Stacks,1.63,2.4,60,5.1
vechain,vet,VeChain,0.026,2.1,45,4.2
maker,mkr,Maker,2250,2.1,80,4.3
injective-protocol,inj,Injective,21,2.0,110,5.4
sui,sui,Sui,0.78,2.0,190,5.8
immutable-x,imx,Immutable,1.34,2.0,40,5.0
dogwifcoin,wif,dogwifhat,1.95,1.95,350,8.1
optimism,op,Optimism,1.72,1.95,180,5.2
the-graph,grt,The Graph,0.2,1.9,60,5.0
bonk,bonk,Bonk,0.0000225,1.55,250,7.2
first-digital-usd,fdusd,First Digital USD,1,2.1,5500,0.07
theta-token,theta,Theta Network,1.37,1.4,20,4.8
arweave,ar,Arweave,26,1.7,60,5.5
fantom,ftm,Fantom,0.52,1.45,170,5.6
floki,floki,FLOKI,0.000171,1.64,200,6.9
thorchain,rune,THORChain,4.1,1.38,180,5.6
aave,aave,Aave,92,1.37,120,4.6
algorand,algo,Algorand,0.139,1.14,35,4.1
quant-network,qnt,Quant,77,1.12,16,4.0
pax-gold,paxg,PAX Gold,2330,0.43,9,0.8
"""
_MAX_SUPPLY = {"bitcoin": 21e6, "litecoin": 84e6, "bitcoin-cash": 21e6, "cardano": 45e9, "ripple": 1e11}
_FIRST = (
    "lunar", "nova", "hyper", "astra", "quasi", "terra", "zen", "magma", "orbit", "pixel", "vortex", "cedar",
    "delta", "ember", "frost", "glyph", "harbor",
)  # fmt: skip
_SECOND = (
    "swap", "chain", "doge", "vault", "mint", "link", "fi", "verse", "pad", "net", "cat", "forge", "dao", "pay",
    "lend", "node", "bridge", "bit",
)  # fmt: skip


def list_coins(seed: int, count: int) -> tuple[Coin, ...]:
    """`count` coins, largest market cap first among the known ones; the same for the same seed."""
    known = [_known(line) for line in _KNOWN.splitlines()]
    random = Random(seed)
    words = [(first, second) for first in _FIRST for second in _SECOND]
    random.shuffle(words)
    made_up = [_made_up(random, n, *words[n % len(words)]) for n in range(max(0, count - len(known)))]
    return tuple((known + made_up)[:count])


def known_by_symbol() -> dict[str, Coin]:
    """`btc` → bitcoin: only for the sixty known coins, where a symbol means one coin."""
    return {coin.symbol: coin for coin in map(_known, _KNOWN.splitlines())}


def _known(line: str) -> Coin:
    coin, symbol, name, *numbers = line.split(",")
    price, cap, volume, volatility = map(float, numbers)
    pegged = volatility < 1  # stablecoins and gold do not follow the market
    return Coin(
        id=coin,
        symbol=symbol,
        name=name,
        price=price,
        supply=cap * 1e9 / price,
        volume=volume * 1e6,
        volatility=volatility / 100,
        beta=0.0 if pegged else 0.5 + volatility / 8,
        max_supply=_MAX_SUPPLY.get(coin),
    )


def _made_up(random: Random, number: int, first: str, second: str) -> Coin:
    again = number // (len(_FIRST) * len(_SECOND))
    name = f"{first}{second}{again + 1 if again else ''}"
    price = 10 ** random.uniform(-10, 5)
    cap = 1.0e9 * 0.985 ** (number + random.random())
    supply = cap / price
    return Coin(
        id=name if random.random() < 0.5 else f"{first}-{name[len(first) :]}",
        symbol=first[:2] + second[:2],  # ambiguous on purpose, as symbols are
        name=name.title(),
        price=price,
        supply=supply,
        volume=cap * random.uniform(0.005, 0.3),
        volatility=random.uniform(0.03, 0.11),
        beta=random.uniform(0.4, 1.8),
        max_supply=supply * 2 if random.random() < 0.4 else None,
    )
