//! Encodings of group elements (RFC 9496), and the way from dalek's points.

use curve25519_dalek::ristretto::RistrettoPoint;
use rayon::prelude::*;
use subtle::ConditionallySelectable;

use super::field::Fe;
use super::point::{Affine, Point};
use crate::encoding::PointBytes;

/// Decodes elements; none where the bytes are not canonical (RFC 9496, 4.3.1). Two at a time, see
/// [`Fe::pow_p58`]. Not constant time.
pub(in super::super) fn decode_pair(bytes: [&PointBytes; 2]) -> [Option<Affine>; 2] {
    let started = bytes.map(Decoding::start);
    let powers = Fe::pow_p58([started[0].base, started[1].base]);
    [
        started[0].finish(powers[0], bytes[0]),
        started[1].finish(powers[1], bytes[1]),
    ]
}

/// A decoding between the steps before and after the exponentiation.
struct Decoding {
    s: Fe,
    u1: Fe,
    u2: Fe,
    v: Fe,
    /// What to take a root of, its cube and its seventh power.
    w: Fe,
    w3: Fe,
    base: Fe,
}

impl Decoding {
    fn start(bytes: &PointBytes) -> Self {
        let s = Fe::from_bytes(bytes.as_bytes());
        let ss = s.square();
        let (u1, u2) = (Fe::ONE - ss, Fe::ONE + ss);
        let u2_squared = u2.square();
        let v = -(Fe::D * u1.square()) - u2_squared;
        let w = v * u2_squared;
        let w3 = w.square() * w;
        Self {
            s,
            u1,
            u2,
            v,
            w,
            w3,
            base: w3.square() * w,
        }
    }

    fn finish(&self, power: Fe, bytes: &PointBytes) -> Option<Affine> {
        if self.s.to_bytes() != *bytes.as_bytes() || bytes.as_bytes()[0] & 1 == 1 {
            return None;
        }
        // 1/√w, if it exists, up to sign.
        let root = self.w3 * power;
        let check = (self.w * root.square()).to_bytes();
        let root = if check == Fe::ONE.to_bytes() {
            root
        } else if check == (-Fe::ONE).to_bytes() {
            root * Fe::SQRT_M1
        } else {
            return None;
        };
        let root_u2 = root * self.u2;
        let x = absolute((self.s + self.s) * root_u2);
        // Twice the root, so its sign does not matter.
        let y = self.u1 * (root * root_u2 * self.v);
        let xy = x * y;
        if bool::from(xy.is_negative()) || bool::from(y.is_zero()) {
            return None;
        }
        Some(Affine {
            y_plus_x: y + x,
            y_minus_x: y - x,
            xy2d: xy * Fe::D2,
        })
    }
}

/// Decodes a list; none when any element does not decode.
pub(in super::super) fn decode_all(points: &[PointBytes]) -> Option<Vec<Affine>> {
    let pairs: Vec<[Option<Affine>; 2]> = points
        .par_chunks(2)
        .map(|pair| decode_pair([&pair[0], &pair[pair.len() - 1]]))
        .collect();
    pairs.into_iter().flatten().take(points.len()).collect()
}

/// The even one of ±x.
fn absolute(x: Fe) -> Fe {
    Fe::conditional_select(&x, &-x, x.is_negative())
}

/// dalek's points, which are public generators, for tables.
pub(in super::super) fn from_dalek(points: &[RistrettoPoint]) -> Vec<Affine> {
    let encoded: Vec<PointBytes> = points.par_iter().map(|p| PointBytes::from(*p)).collect();
    decode_all(&encoded).expect("encoded points")
}

/// Encodings of the DOUBLES of points, with one inversion for all: the square root that an encoding
/// takes is known for 2P. Constant time.
///
/// For P = (X : Y : Z : T), 2P = (E/F, G/H) with E = 2XY, F = Z² + dT², G = Y² + X², H = Z² - dT²;
/// everything RFC 9496, 4.3.2 asks for is a product of these and of 1/(EGFH).
pub(in super::super) fn encode_doubles(halves: &[Point]) -> Vec<PointBytes> {
    struct Double {
        e: Fe,
        f: Fe,
        g: Fe,
        h: Fe,
        eg: Fe,
        fh: Fe,
    }
    let doubles: Vec<Double> = halves
        .iter()
        .map(|p| {
            let (zz, dtt) = (p.z.square(), p.t.square() * Fe::D);
            let e = p.x * (p.y + p.y);
            let f = zz + dtt;
            let g = p.y.square() + p.x.square();
            let h = zz - dtt;
            Double {
                e,
                f,
                g,
                h,
                eg: e * g,
                fh: f * h,
            }
        })
        .collect();
    let mut inverses: Vec<Fe> = doubles.iter().map(|d| d.eg * d.fh).collect();
    Fe::invert_all(&mut inverses);
    doubles
        .iter()
        .zip(inverses)
        .map(|(d, inverse)| {
            let z_inverse = d.eg * inverse;
            let t_inverse = d.fh * inverse;
            // Choose the point of the coset whose x·y is not negative, ...
            let rotate = (d.eg * z_inverse).is_negative();
            let e = Fe::conditional_select(&d.e, &d.g, rotate);
            let g = Fe::conditional_select(&d.g, &-d.e, rotate);
            let h = Fe::conditional_select(&d.h, &(d.f * Fe::SQRT_M1), rotate);
            let magic = Fe::conditional_select(&Fe::INVSQRT_A_MINUS_D, &Fe::SQRT_M1, rotate);
            // ... then the sign of y.
            let flip = (h * e * z_inverse).is_negative();
            let g = Fe::conditional_select(&g, &-g, flip);
            let s = (h - g) * (magic * (g * t_inverse));
            PointBytes(absolute(s).to_bytes())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;
    use curve25519_dalek::traits::Identity;
    use proptest::prelude::*;

    use super::*;

    fn dalek(seed: &[u8]) -> RistrettoPoint {
        RistrettoPoint::hash_from_bytes::<sha2::Sha512>(seed)
    }

    fn lift(point: &RistrettoPoint) -> Point {
        let mut out = Point::IDENTITY;
        out += &from_dalek(&[*point])[0];
        out
    }

    proptest! {
        /// Decoding, addition, doubling and encoding against dalek.
        #[test]
        fn agrees_with_dalek(a in any::<[u8; 8]>(), b in any::<[u8; 8]>()) {
            let (p, q) = (dalek(&a), dalek(&b));
            let (x, y) = (lift(&p), lift(&q));
            let mut sum = x;
            sum += &from_dalek(&[q])[0];
            let mut full = x;
            full += &y;
            let mut difference = x;
            difference += &from_dalek(&[q])[0].negate_if(1.into());
            let mut zero = x;
            zero += &from_dalek(&[p])[0].negate_if(1.into());
            let ours = encode_doubles(&[x, sum, full, difference, zero, x.double(), Point::IDENTITY]);
            let doubled = |r: RistrettoPoint| PointBytes::from(r + r);
            let identity = PointBytes::IDENTITY;
            prop_assert_eq!(ours, vec![
                doubled(p), doubled(p + q), doubled(p + q), doubled(p - q), identity, doubled(p + p), identity,
            ]);
            prop_assert!(zero.is_identity() && Point::IDENTITY.is_identity());
            prop_assert!(!sum.is_identity());
            let affine = Point::to_affine(&[sum, x.double()]);
            let mut again = Point::IDENTITY;
            again += &affine[0];
            again += &affine[1];
            prop_assert_eq!(encode_doubles(&[again]), vec![doubled(p + q + p + p)]);
        }

        /// Any 32 bytes are accepted by both or by neither.
        #[test]
        fn decodes_what_dalek_decodes(mut bytes in any::<[u8; 32]>(), mask in any::<bool>()) {
            if mask {
                bytes[0] &= 0xfe;
                bytes[31] &= 0x7f;
            }
            let encoded = PointBytes(bytes);
            let other = PointBytes::from(dalek(&bytes));
            let [ours, also] = decode_pair([&encoded, &other]);
            prop_assert!(also.is_some());
            prop_assert_eq!(decode_all(&[encoded, other, encoded]).is_some(), ours.is_some());
            match encoded.decode() {
                Err(_) => prop_assert!(ours.is_none()),
                Ok(point) => {
                    let mut p = Point::IDENTITY;
                    p += &ours.expect("dalek decodes it");
                    let half = Scalar::from(2u64).invert() * point;
                    prop_assert_eq!(encode_doubles(&[lift(&half)]), vec![encoded]);
                    prop_assert_eq!(encode_doubles(&[p]), vec![PointBytes::from(point + point)]);
                }
            }
        }
    }

    /// RFC 9496, A.2 and A.3: small multiples of the generator, and encodings to refuse.
    #[test]
    fn test_vectors_of_the_rfc() {
        let base = curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
        let multiples: Vec<RistrettoPoint> = (0..16u64).map(|k| Scalar::from(k) * base).collect();
        let expected = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
            "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
        ];
        let half = Scalar::from(2u64).invert();
        for (point, expected) in multiples.iter().zip(expected) {
            let encoded = encode_doubles(&[lift(&(half * point))]);
            assert_eq!(hex::encode(encoded[0].as_bytes()), expected);
        }
        for bad in [
            "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
            "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
            "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let bytes: [u8; 32] = hex::decode(bad).expect("hex").try_into().expect("32 bytes");
            assert!(decode_all(&[PointBytes(bytes)]).is_none(), "{bad}");
        }
        assert!(multiples[0] == RistrettoPoint::identity());
    }
}
