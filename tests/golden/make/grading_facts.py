"""Pairs of answers with what a reader says of them: the facts that public graders' tests turn on (math-verify, Qwen2.5-Math,
MATH, PRM800K), in our own words and with more of their kind. Read by grading_corpus.py; (gold, answer, equal)."""

R, W = True, False
FACTS = {
    "numbers": [
        ("0.4", ".4", R), ("1000.99", "1,000.99", R), ("1000.99", "\\$1,000.99", R), ("1000.99", "1,000.99\u20ac", R), ("1000.99", "1000,99", R),
        ("1000", "1 000", R), ("7425000", "7,425,000", R), ("0,111", "0.111", R), ("14{,}916", "14 {, }916", R), ("11111111100", "11,\\! 111,\\! 111,\\! 100", R),
        ("32349", "32, 349", W), ("-3,0", "-3", W), ("-5", "- 5", R), ("-5", "5", W), ("1e-3", "0.001", R), ("5 \\times 10^{-3}", "0.005", R),
        ("6.02\\times10^{23}", "6.02 \u00d7 10\u00b2\u00b3", R), ("0.\\overline{3}", "\\frac13", R), ("2.\\overline{45}", "\\frac{27}{11}", R), ("0.\\overline{3}", "0.3", W),
        ("204_5", "204_{5}", R), ("204_5", "204", R), ("1011_2", "11", W), ("2^{10}", "1024", R), ("3!", "6", R), ("10^6", "1,000,000", R), ("007", "7", R),
        ("42", "forty-two", R), ("42", "Forty two.", R), ("42", "forty-three", W), ("105", "one hundred and five", R), ("1,012,300", "one million twelve thousand three hundred", R), ("100, 5", "one hundred and five", W),
        ("2, 3", "two and three", R), ("23", "two three", W), ("5", "two and three", W), ("-7", "minus seven", R), ("110", "ten hundred ten", W), ("20", "twenty-zero", W), ("1", "\\text{once}", W), ("\\text{seven}", "7", R), ("7", "\\text{seven or eight}", W),
        ("1/0", "2/0", W), ("5", "5.0000001", W), ("0.333333333", "\\frac13", R), ("\\frac13", "0.33", W), ("3.14159265", "\\pi", R),
        ("\\pi", "3.14", W), ("e", "2.718281828", R), ("1000000007", "1000000009", W), ("123456789123456789", "123456789123456788", W)],
    "fractions": [
        ("0.5", "\\frac12", R), ("10/9", "\\frac{10}{9}", R), ("\\frac{1}{3}", "\\cfrac{1}{3}", R), ("1", "\\frac3{3}", R), ("\\frac{1}{12}", "0.0833333333333333", R),
        ("\\frac{7}{2}", "3 1/2", R), ("\\frac{40}{9}", "4 4/9", R), ("-\\frac{40}{9}", "-4 4/9", R), ("4", "4 4/9", W), ("\\frac{9}{4}\\pi", "\\frac94\\pi", R),
        ("-\\frac{3}{4}", "\\frac{3}{-4}", R), ("\\frac{-3}{-4}", "0.75", R), ("3:4", "\\frac34", R), ("3:4", "4:3", W), ("\\frac{a}{b}", "a/b", R), ("\\frac{a}{b}", "b/a", W)],
    "percent, units": [
        ("28\\%", "28 percent", R), ("28\\%", "28 pct", R), ("28\\%", "28 percentage", R), ("28\\%", "28", R), ("0.28", "28", W), ("\\frac{28}{100}", "28", W), ("28", "28/100", W),
        ("10\\%", "0.1", R), ("10\\%", "0.2", W), ("\\frac12", "50\\%", R), ("125 \\text{ miles}", "125\\textnormal{ miles}", R), ("15\\mbox{ cm}^2", "15", R), ("15\\mbox{ cm}^2", "15 \\mathrm{cm}^{2}", R),
        ("90^\\circ", "90 degrees", R), ("90^\\circ", "\\angle ABC = 90^\\circ", R), ("10\\text{ a.m.}", "10 AM", R), ("10 \\text{ AM}", "10 \\text{ PM}", W), ("11:45 p.m.", "11:45 \\text{ PM}", R), ("11:45 p.m.", "11:54 PM", W), ("3:00 \\text{ p.m.}", "3 pm", R), ("3:00 \\text{ p.m.}", "3:30 pm", W), ("9 \\text{ am, } 5 \\text{ pm}", "9 \\text{ pm, } 5 \\text{ am}", W),
        ("12:00", "1:00", W), ("5 \\text{ cm}", "50 \\text{ mm}", W),
        ("18", "\\$18.00 \\text{ per day}", R), ("18", "18 eggs", R), ("18", "-18 eggs", W), ("1.5 \\text{ hours}", "1\\frac12 \\text{ hours}", R)],
    "algebra": [
        ("\\frac{x+2}{7}", "\\frac{x}{7}+\\frac{2}{7}", R), ("\\tan^2(y)+1", "\\sec^2(y)", R), ("2\\sin b\\cos a", "2\\cos a\\sin b", R), ("\\sqrt{2}+\\sqrt{5}", "\\sqrt5+\\sqrt2", R),
        ("\\sqrt{5}", "\\sqrt{2}+\\sqrt{3}", W), ("1-\\frac{1}{\\mathrm{e}}", "1-e^{-1}", R), ("1-\\frac1e", "1+\\frac1e", W), ("|x|", "x", W), ("x^{-1}", "\\frac{1}{x}", R), ("(x-1)(x+1)", "x^2-1", R),
        ("e^{i\\pi}", "-1", R), ("\\tan^{-1} 1", "\\frac{\\pi}{4}", R), ("\\arctan 1", "\\frac{\\pi}{4}", R), ("\\log 100", "2", R), ("\\lg 100", "2", R), ("\\log_2 8", "3", R), ("\\ln e", "1", R), ("\\ln 2", "\\ln 3", W),
        ("{4 \\choose 2}", "6", R), ("\\binom{4}{2}", "\\frac{4!}{2!2!}", R), ("\\lfloor 2.5\\rfloor", "2", R), ("\\lceil 2.5\\rceil", "3", R), ("\\lceil 2.5\\rceil", "2", W), ("\\max(1,2)", "2", R),
        ("\\gcd(4,6)", "2", R), ("\\sum_{k=1}^{3} k", "6", R), ("\\mathbf{i}+\\mathbf{j}", "\\mathbf{j}+\\mathbf{i}", R), ("2-2p", "2 - 2 p", R), ("2-2p", "2p-2", W), ("x_1+x_2", "x_2+x_1", R), ("\\cos 60^\\circ", "\\frac12", R),
        ("\\sum_{k=0}^{n-1} F_k F_{n-k-1}", "\\sum_{k=0}^{n-2} F_k F_{n-k-2}", W), ("\\frac{1}{2004!}", "\\frac{1}{2006!}", W), ("\\frac{1}{2^{99}}", "\\frac{1}{2^{98}}", W), ("a", "b", W)],
    "relations": [
        ("x >= 5", "x \\geq 5", R), ("x < 3", "x \\lt 3", R), ("x \\neq 3", "x != 3", R), ("x > 5", "x < 5", W), ("x \\geq 5", "x \\leq 5", W), ("x \\leq 5", "5 \\geq x", R), ("x < 1", "-x > -1", R), ("x < 1", "x > -1", W),
        ("x = 11", "x = 5+5+1 = 7+4 = 11", R), ("11", "x \\approx 11", R), ("\\frac13", "x = \\frac13 \\approx 0.33", R), ("7 = 11a+c", "11a+c", W), ("a+3z = 0", "0", W), ("2x+z = 1", "1", W), ("k=1", "1", R),
        ("2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}", R), ("\\frac{x^2}{4}+\\frac{y^2}{3}=1", "3x^2+4y^2=12", R), ("x+y=3", "x+y=4", W), ("y=2x", "y=3x", W), ("f(2) < f(1) < f(4)", "f(2)<f(1)<f(4)", R), ("f(2) < f(1) < f(4)", "f(2)<f(3)<f(4)", W),
        ("-2 \\le x \\le 7", "x \\in [-2,7]", R), ("-2 \\le x \\le 7", "-2 < x \\le 7", W), ("-2 \\le x \\le 7", "[-2,7)", W), ("(2,\\infty)", "x > 2", R), ("(2,\\infty)", "x \\ge 2", W), ("(-\\infty,1)\\cup(3,\\infty)", "x<1 \\text{ or } x>3", R),
        ("1 < x < 5", "1 < y < 6", W), ("x = 2", "x = -2", W), ("x=1, y=2", "(1,2)", R), ("x=1, y=2", "x=2, y=1", W), ("(p,q,r) = (6,31,-1)", "(6,31,-1)", R), ("f(x) = 2x", "2x", R)],
    "sets, tuples": [
        ("[0,1)", "[0,9)", W), ("(0,9)", "[0,9)", W), ("1", "-[0,1)", W), ("(1,\\frac92)", "(1,4.5)", R), ("(1,3)", "1,3", R), ("(1,3)", "(3,1)", W), ("(1,3)", "3,1", W), ("\\{1,3\\}", "3,1", R), ("\\{-1\\}\\cup[0,7)", "[0,7) \\cup \\{-1\\}", R),
        ("\\{1\\pm\\sqrt5,-2\\}", "\\{-2,1+\\sqrt5,1-\\sqrt5\\}", R), ("\\pm 2021", "2021", W), ("\\pm 2021", "-2021, 2021", R), ("3\\pm\\sqrt2", "3+\\sqrt2", W), ("19, 46, and 82", "19, 46, \\text{ and } 82", R), ("19, 46, and 82", "21, 36, and 82", W),
        ("n=1, 2, 3", "1,2,3", R), ("n=2, 3, 4", "n=1, 2, 3", W), ("D = (0,1)", "(0,1)", R), ("\\emptyset", "\\{\\}", R), ("\\mathbb{R}", "(-\\infty,\\infty)", R), ("(-\\infty,0)\\cup(0,\\infty)", "\\mathbb{R} \\setminus \\{0\\}", R), ("(-\\infty,-2)\\cup(-2,\\frac12)\\cup(\\frac12,\\infty)", "\\mathbb{R} \\backslash \\left\\{0.5, -2\\right\\}", R),
        ("(-\\infty,-2)\\cup(-2,2)\\cup(2,\\infty)", "\\mathbb{R} - \\{2\\}", W), ("(-\\infty,0]\\cup[0,\\infty)", "\\mathbb{R} \\setminus \\{0\\}", W), ("\\mathbb{R}", "\\mathbb{R} \\setminus \\{0\\}", W), ("\\mathbb{R} \\setminus \\{1,2\\}", "\\mathbb{R} \\setminus \\{2,1\\}", R),
        ("(-1,\\infty)", "(-1,+\\infty)", R), ("12\\text{ and }13", "12 $ and $13", R),
        ("[-1,-\\frac12)\\cup(-\\frac12,0)", "(-\\tfrac12,0)\\cup[-1,-\\tfrac12)", R), ("\\{1,2,2\\}", "\\{1,2\\}", R), ("(1,2,3)", "(1,2)", W), ("1,2", "1", W), ("(1,2),(3,4)", "(3,4),(1,2)", R)],
    "matrices": [
        ("\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}", "\\begin{bmatrix} 1 & 0 \\\\ 0 & 1 \\end{bmatrix}", R), ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\left[\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right]", R),
        ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}", W), ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}", W),
        ("\\begin{pmatrix}-\\frac74&-2\\\\4&\\frac14\\end{pmatrix}", "\\left(\\begin{pmatrix}-1.75&-2\\\\4&0.25\\end{pmatrix}\\right)", R), ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1&2\\end{pmatrix}", W),
        ("\\begin{pmatrix}\\frac25&-\\frac15\\\\0&1\\end{pmatrix}", "\\frac{1}{5}\\begin{pmatrix}2&-1\\\\0&5\\end{pmatrix}", R), ("\\begin{pmatrix}2&-1\\\\0&5\\end{pmatrix}", "\\frac{1}{5}\\begin{pmatrix}2&-1\\\\0&5\\end{pmatrix}", W),
        ("\\begin{pmatrix}-1\\\\2\\end{pmatrix}", "-\\begin{bmatrix}1\\\\-2\\end{bmatrix}", R), ("\\begin{vmatrix}2&4\\\\6&8\\end{vmatrix}", "2\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", W),
        ("\\begin{pmatrix}6&8\\\\10&12\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}+\\begin{pmatrix}5&6\\\\7&8\\end{pmatrix}", R), ("\\begin{pmatrix}x\\\\1\\end{pmatrix}", "\\begin{pmatrix}x\\\\ \\frac22\\end{pmatrix}", R)],
    "text": [
        ("\\text{Evelyn}", "Evelyn", R), ("\\text{Evelyn}", "Angela", W), ("\\text{yes}", "Yes", R), ("\\text{yes}", "No", W), ("\\text{(C)}", "C", R), ("C", "(C)", R), ("C", "\\textbf{(C)} 12", R), ("C", "B. 12", W), ("C", "C. 12", R),
        ("\\text{Monday}", "monday.", R), ("\\text{odd}", "even", W), ("\\text{June 20}", "20", W), ("\\text{ellipse}", "\\text{an ellipse}", R), ("\\text{red, blue}", "blue, red", R), ("\\text{no solution}", "\\text{No solution.}", R)],
    "many at once": [
        ("5", "5 \\text{ or } 6", W), ("5", "\\{5, 6\\}", W), ("5", "5, 6", W), ("5", "4 < x < 6", W), ("5", "\\text{not } 5", W), ("5", "5^1", R), ("5", "x", W), ("12", "1, 2", W), ("12", "1 2", W), ("5", "", W), ("5", "55", W)],
}
